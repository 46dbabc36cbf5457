{#
  The scope of a run: one block, or all of them. It decides what is read from the lake, what is
  deleted, what is inserted and what is tested, so these can never disagree.

  The key comes from the environment and not from a var: another value of a var makes dbt parse the
  whole project again, and the key is another one every day.
#}
{% macro block_in_scope() -%}
    {{ env_var('BLOCKMIX_BLOCK', '') if execute else '' }}
{%- endmacro %}


{% macro in_scope() -%}
    {%- set key = block_in_scope() -%}
    {{ 'block_key = ' ~ literal(key) if key else 'true' }}
{%- endmacro %}


{#
  Incremental strategy `replace_scope`: whatever the table holds of the scope goes, and of other blocks
  that come back; whatever the model returns comes. The stock `delete+insert` deletes only the keys that
  come back, so a block that had anomalies and now has none would keep the old ones.
#}
{% macro get_incremental_replace_scope_sql(arguments) %}
    {%- set columns -%}
        {%- for column in arguments["dest_columns"] %}{{ ident(column.name) }}{{ ", " if not loop.last }}{% endfor -%}
    {%- endset -%}
    delete from {{ arguments["target_relation"] }}
    where {{ in_scope() }} or block_key in (select block_key from {{ arguments["temp_relation"] }});
    insert into {{ arguments["target_relation"] }} ({{ columns }})
    select {{ columns }} from {{ arguments["temp_relation"] }}
{% endmacro %}
