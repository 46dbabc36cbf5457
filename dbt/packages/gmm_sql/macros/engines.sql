{# What the engines write differently. #}
{% macro double_type() -%}
    {{ return(adapter.dispatch('double_type', 'gmm_sql')()) }}
{%- endmacro %}

{% macro default__double_type() %}{% do return('double precision') %}{% endmacro %}
{% macro spark__double_type() %}{% do return('double') %}{% endmacro %}


{# A column's name as SQL. #}
{% macro name(text) -%}
    {{ return(adapter.dispatch('name', 'gmm_sql')(text)) }}
{%- endmacro %}

{% macro default__name(text) %}{% do return('"' ~ (text | replace('"', '""')) ~ '"') %}{% endmacro %}
{% macro spark__name(text) %}{% do return('`' ~ (text | replace('`', '``')) ~ '`') %}{% endmacro %}


{# A number as SQL, from its digits: a bare 0.1 is a decimal to some engines. #}
{% macro number(digits) -%}
    {% do return("cast('" ~ digits ~ "' as " ~ gmm_sql.double_type() ~ ")") %}
{%- endmacro %}


{# A text as SQL. Spark reads backslashes, the others do not. #}
{% macro text(value) -%}
    {{ return(adapter.dispatch('text', 'gmm_sql')(value)) }}
{%- endmacro %}

{% macro default__text(value) %}{% do return("'" ~ (value | string | replace("'", "''")) ~ "'") %}{% endmacro %}
{% macro spark__text(value) %}
    {% do return("'" ~ (value | string | replace("\\", "\\\\") | replace("'", "\\'")) ~ "'") %}
{% endmacro %}


{# An expression as a double that is a number: NULL for NaN and the infinities. To all engines NaN equals itself. #}
{% macro finite(expression) -%}
    {%- set value = 'cast(' ~ expression ~ ' as ' ~ gmm_sql.double_type() ~ ')' -%}
    {%- set special = [gmm_sql.number('NaN'), gmm_sql.number('Infinity'), gmm_sql.number('-Infinity')] | join(', ') -%}
    {% do return('case when ' ~ value ~ ' not in (' ~ special ~ ') then ' ~ value ~ ' end') %}
{%- endmacro %}


{# A feature's source value in feature space, and NULL outside of the transform's domain. #}
{% macro forward(feature) -%}
    {%- set value = gmm_sql.finite(gmm_sql.name(feature['name'])) -%}
    {%- set transform = feature.get('transform', 'identity') -%}
    {%- if transform == 'identity' %}{% do return(value) %}
    {%- elif transform == 'log' %}{% do return('ln(case when ' ~ value ~ ' > 0 then ' ~ value ~ ' end)') %}
    {%- elif transform == 'log1p' %}{% do return('ln(1 + case when ' ~ value ~ ' > -1 then ' ~ value ~ ' end)') %}
    {%- elif transform == 'sqrt' %}{% do return('sqrt(case when ' ~ value ~ ' >= 0 then ' ~ value ~ ' end)') %}
    {%- else %}{{ exceptions.raise_compiler_error("gmm_sql: transform of feature " ~ feature['name'] ~ ": got " ~ transform ~ "; allowed: identity, log, log1p, sqrt") }}
    {%- endif %}
{%- endmacro %}


{# e to an expression of 0 or less, at least 1e-304: PostgreSQL raises an error where it would be 0. #}
{% macro exp(expression) -%}
    {% do return('exp(greatest(' ~ expression ~ ', ' ~ gmm_sql.number('-700') ~ '))') %}
{%- endmacro %}


{#
  The code of a categorical feature's level, from 0; what is none of its levels, and NULL, has the last.
  Values are compared as text: the number 3 is the level '3'.
#}
{% macro code(feature) -%}
    {%- set value = 'cast(' ~ gmm_sql.name(feature['name']) ~ ' as ' ~ gmm_sql.text_type() ~ ')' -%}
    {%- set cases = [] -%}
    {%- for level in feature['levels'] %}{% do cases.append(' when ' ~ gmm_sql.text(level) ~ ' then ' ~ loop.index0) %}{% endfor -%}
    {% do return('case ' ~ value ~ (cases | join) ~ ' else ' ~ (feature['levels'] | length) ~ ' end') %}
{%- endmacro %}

{% macro text_type() -%}
    {{ return(adapter.dispatch('text_type', 'gmm_sql')()) }}
{%- endmacro %}

{% macro default__text_type() %}{% do return('text') %}{% endmacro %}
{% macro spark__text_type() %}{% do return('string') %}{% endmacro %}


{# A double that fails with a message where it is computed. `some` is an expression that is not known before. #}
{% macro refuse(message, some) -%}
    {{ return(adapter.dispatch('refuse', 'gmm_sql')(message, some)) }}
{%- endmacro %}

{# PostgreSQL raises an error in functions alone; that of a cast shows the text that is no number. #}
{% macro default__refuse(message, some) %}
    {% do return("cast(" ~ gmm_sql.text(message) ~ " || left(cast(" ~ some ~ " as text), 0) as double precision)") %}
{% endmacro %}
{% macro duckdb__refuse(message, some) %}{% do return("error(" ~ gmm_sql.text(message) ~ ")") %}{% endmacro %}
{% macro spark__refuse(message, some) %}{% do return("raise_error(" ~ gmm_sql.text(message) ~ ")") %}{% endmacro %}


{# What tells a feature from any other, as in gmm_core.parameters: 52 bits of a digest, which a double holds exactly. #}
{% macro told_apart(feature) -%}
    {%- set meant = feature['levels'] if 'levels' in feature else feature.get('transform', 'identity') -%}
    {% do return(gmm_sql.number(local_md5(tojson([feature['name'], meant]))[:13] | int(base=16))) %}
{%- endmacro %}
