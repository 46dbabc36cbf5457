{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['block_key', 'model_version'],
    on_schema_change='fail',
    pre_hook="{{ point_at_components(this if is_incremental() else none) }}"
) }}

with

source as (

    select * from {{ source('lake', 'components') }}
    union all by name
    select {{ late_columns() }}

),

renamed as (

    select
        ---------- ids
        block as block_key,
        stream as written_stream,
        block_key as written_key,
        -- Spark writes shorter numbers than others do.
        model_version::integer as model_version,
        component::integer as component,
        coalesce(component_id, component)::integer as component_id,
        feature,

        ---------- the component
        weight,

        ---------- the feature in it, in feature space
        mean,
        sd,

        ---------- the same in source units
        centre,
        low,
        high,

        ---------- when
        written_at::timestamptz as written_at

    from source

)

select * from renamed
