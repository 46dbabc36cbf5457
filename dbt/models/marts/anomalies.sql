{{ config(materialized='incremental', incremental_strategy='replace_scope', on_schema_change='fail') }}

with

scored as (

    select * from {{ ref('stg_scored_rows') }} where anomaly and {{ in_scope() }}

),

deviations as (

    select * from {{ ref('row_deviations') }} where anomaly and {{ in_scope() }}

),

most_unusual as (

    select
        block_key,
        row_in_block,
        feature as most_unusual_feature,
        deviation as most_unusual_deviation,
        low as most_unusual_low,
        high as most_unusual_high,
        sqrt(sum(deviation * deviation) over (partition by block_key, row_in_block)) as component_distance
    from deviations
    qualify row_number() over (partition by block_key, row_in_block order by abs(deviation) desc, feature) = 1

),

joined as (

    select
        scored.block_key,
        scored.row_in_block,
        scored.event_time,
        {%- for name in var('keys') + var('columns') %}
        scored.{{ ident(name) }},
        {%- endfor %}
        scored.component,
        scored.component_id,
        most_unusual.component_distance,
        most_unusual.most_unusual_feature,
        most_unusual.most_unusual_deviation,
        most_unusual.most_unusual_low,
        most_unusual.most_unusual_high,
        scored.log_prob,
        scored.score,
        scored.model_version
    from scored
    left join most_unusual using (block_key, row_in_block)

)

select * from joined
