{# `var('lake')` is a glob pattern already: the folder of the stream, its special characters escaped. #}
{% macro lake_files(section, key='') -%}
    {{ literal(var('lake') ~ '/' ~ section ~ '/block=' ~ (key or '????-??-??') ~ '/*.parquet') }}
{%- endmacro %}


{# No row, with the columns that files written by an earlier release lack: joined by name, they are null. #}
{% macro late_columns() -%}
    null::integer as component_id where false
{%- endmacro %}


{# Hook: point the source `scored_rows` at the files of the scope. #}
{% macro point_at_rows() -%}
    set variable scored_rows = {{ lake_files('transformed', block_in_scope()) }}
{%- endmacro %}


{#
  Hook: point the source `components` at the tables of the block in scope and of every as-of key the
  warehouse does not know yet. A block may be scored with the model of another as-of key, and a day
  whose model was refused has no table: then the newest one is read again, which changes nothing.
#}
{% macro point_at_components(known) -%}
    set variable components = (
        with tables as (
            select file, regexp_extract(file, 'block=([0-9-]{10})/[^/]*$', 1) as as_of
            from glob({{ lake_files('components') }})
        ),
        wanted as (
            select file from tables
            {%- if known %}
            where as_of = {{ literal(block_in_scope()) }}
               or as_of not in (select block_key from {{ known }})
            {%- endif %}
        )
        select coalesce((select list(file) from wanted), (select [max_by(file, as_of)] from tables))
    )
{%- endmacro %}
