{{ config(materialized='view') }}

with

newest as (

    select * from {{ ref('stg_components') }}
    -- Of the versions of a day, the one that was described last is its own: neither trials nor what was there
    -- before a late block are. A version's rows were written together.
    qualify dense_rank() over (
        partition by block_key order by written_at desc nulls last, model_version desc
    ) = 1

),

pivoted as (

    select
        block_key,
        model_version,
        component,
        min(component_id) as component_id,
        min(weight) as weight
        {%- for feature in var('features') %}
        {%- set only = "filter (where feature = " ~ literal(feature['name']) ~ ")" %},
        min(centre) {{ only }} as {{ ident('centre_' ~ feature['name']) }},
        min(low) {{ only }} as {{ ident('low_' ~ feature['name']) }},
        min(high) {{ only }} as {{ ident('high_' ~ feature['name']) }}
        {%- endfor %}
    from newest
    group by block_key, model_version, component

)

select
    *,
    row_number() over (partition by block_key order by weight desc, component) as size_rank
from pivoted
