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
        model_version,
        component,
        coalesce(component_id, component) as component_id,
        feature,

        ---------- the component
        weight,

        ---------- the feature in it, in feature space
        mean,
        sd,

        ---------- the same in source units
        centre,
        low,
        high

    from source

)

select * from renamed
