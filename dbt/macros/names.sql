{# A column name as SQL: the names of a stream's columns are data to this project. #}
{% macro ident(name) -%}
    "{{ name | replace('"', '""') }}"
{%- endmacro %}


{# A text as SQL. #}
{% macro literal(text) -%}
    '{{ text | replace("'", "''") }}'
{%- endmacro %}


{# The stream's own columns in a row: the keys it is grouped by, then its values. #}
{% macro row_columns() -%}
    {%- for name in var('keys') + var('columns') %}{{ ident(name) }}{{ ", " if not loop.last }}{% endfor -%}
{%- endmacro %}


{# Who a row is of, as text: the column that the stream names, or null. #}
{% macro entity() -%}
    cast({{ ident(var('entity')) if var('entity') else 'null' }} as varchar)
{%- endmacro %}


{# Schemas are called staging, scoring and marts, without the target's schema in front. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
