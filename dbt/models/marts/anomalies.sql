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

-- The words of the model's own explanations, as far as a component's centre and width tell.
told as (

    select
        block_key,
        row_in_block,
        string_agg(
            feature || format(' {:.4g} is {:.3g} sd ', value, abs(deviation))
            || case when deviation > 0 then 'above' else 'below' end
            || coalesce(format(' the usual {:.4g}', centre), ' the usual'),
            '; ' order by abs(deviation) desc, feature
        ) as said
    from (
        select *
        from deviations
        where abs(deviation) > 2
        qualify row_number() over (partition by block_key, row_in_block order by abs(deviation) desc, feature) <= 3
    )
    group by all

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
        coalesce(
            scored.explanation,
            'component ' || scored.component || ': '
            || coalesce(told.said, 'rare as a whole, though no number by itself is beyond 2 sd')
        ) as explanation,
        scored.log_prob,
        scored.score,
        scored.model_version
    from scored
    left join most_unusual using (block_key, row_in_block)
    left join told using (block_key, row_in_block)

)

select * from joined
