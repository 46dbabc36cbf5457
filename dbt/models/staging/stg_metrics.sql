{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='source_file',
    on_schema_change='fail',
    pre_hook="{{ point_at_metrics(this if is_incremental() else none) }}"
) }}

with

source as (

    select * from {{ measured() }}
    union all by name
    select null::timestamptz as measured_at where false  -- files of an earlier release lack it

),

renamed as (

    select
        ---------- ids
        block as block_key,
        stream as written_stream,
        block_key as written_key,
        regexp_extract(filename, 'block=[^/]*/[^/]*$') as source_file,
        stage,
        model_version::integer as model_version,
        metric,

        ---------- what was found, and what is allowed
        value,
        unit,
        at_least,
        at_most,
        ok,

        ---------- when
        measured_at::timestamptz as measured_at

    from source

)

select * from renamed
