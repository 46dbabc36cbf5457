{{ config(materialized='view') }}

with

newest as (

    select * from {{ ref('stg_components') }}
    qualify model_version = max(model_version) over (partition by block_key)

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
