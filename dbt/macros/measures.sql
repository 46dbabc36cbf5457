{#
  Hook: point `metrics` at the files of the block in scope and of those that the warehouse does not know.
  Where there is neither, one file is read again, which changes nothing.
#}
{% macro point_at_metrics(known) -%}
    set variable metrics = (
        with files as (
            select file, regexp_extract(file, 'block=[^/]*/[^/]*$') as source_file
            from glob({{ lake_files('metrics') }})
        ),
        wanted as (
            select file from files
            {%- if known %}
            where starts_with(source_file, {{ literal('block=' ~ block_in_scope() ~ '/') }})
               or source_file not in (select source_file from {{ known }})
            {%- endif %}
        )
        select coalesce((select list(file) from wanted), (select [max(file)] from files))
    )
{%- endmacro %}


{#
  The rows of these files; typed and without rows where there is no file, which no reader of files allows.
  It is asked when the model runs, behind its hook.
#}
{% macro measured() -%}
    {%- set some = execute and run_query('select 1 from glob(' ~ lake_files('metrics') ~ ') limit 1').rows | length -%}
    {%- if some or not execute -%}
    {{ source('lake', 'metrics') }}
    {%- else -%}
    (
        select
            null::varchar as block, null::varchar as block_key, null::varchar as stream,
            null::varchar as filename, null::varchar as stage, null::integer as model_version,
            null::varchar as metric, null::double as value, null::varchar as unit,
            null::double as at_least, null::double as at_most, null::boolean as ok,
            null::timestamptz as measured_at
        where false
    )
    {%- endif -%}
{%- endmacro %}
