{# `var('lake')` is a glob pattern already: the folder of the stream, its special characters escaped. #}
{% macro lake_files(section, key='', name='*.parquet') -%}
    {{ literal(var('lake') ~ '/' ~ section ~ '/block=' ~ (key or '????-??-??') ~ '/' ~ name) }}
{%- endmacro %}


{# No row, with the columns that files may lack, of an earlier release or not asked for: joined by name, they are null. #}
{% macro late_columns() -%}
    null::integer as component_id, null::timestamptz as written_at, null::varchar as explanation where false
{%- endmacro %}


{#
  Hook: point the source `scored_rows` at the files of the scope. The manifest of a block names the folder
  of its rows; rows of an earlier release lie beside it.
#}
{% macro point_at_rows() -%}
    set variable scored_rows = (
        with manifests as (
            select
                _lake.folder as folder,
                regexp_extract(filename, 'block=[0-9-]{10}/[^/]*$')[:16] as block
            from read_json(
                {{ lake_files('transformed', block_in_scope(), '_manifest.json') }},
                columns = {_lake: 'struct(folder varchar)'},
                filename = true
            )
        )
        select list(
            {{ literal(var('lake')) }}
            || coalesce('/_rows/transformed/' || block || '/' || folder, '/transformed/' || block)
            || '/*.parquet'
        )
        from manifests
    )
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
            where regexp_matches(file, '/v[0-9]+\.parquet$')
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
