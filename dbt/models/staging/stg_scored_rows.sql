{{ config(
    materialized='incremental',
    incremental_strategy='replace_scope',
    on_schema_change='fail',
    pre_hook="{{ point_at_rows() }}"
) }}

with

source as (

    select * from {{ source('lake', 'scored_rows') }}
    union all by name
    select {{ late_columns() }}

),

renamed as (

    select
        ---------- ids
        block as block_key,
        row_number() over (
            partition by block order by event_time, {{ row_columns() }}
        ) as row_in_block,
        stream as written_stream,
        block_key as written_key,
        model_version,

        ---------- the row, in source units
        -- By way of an instant: Spark writes instants, others local times, and both mean UTC.
        cast(cast(event_time as timestamptz) as timestamp) as event_time,
        {{ row_columns() }},

        ---------- what the model says about it
        {%- for feature in var('features') %}
        {{ ident(feature['name'] ~ '_normalised') }},
        {%- endfor %}
        component,
        coalesce(component_id, component) as component_id,
        log_prob,
        score,
        anomaly,
        explanation

    from source

)

select * from renamed
