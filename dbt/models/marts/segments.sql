{{ config(materialized='incremental', incremental_strategy='replace_scope', on_schema_change='fail') }}

with

scored as (

    select * from {{ ref('stg_scored_rows') }} where {{ in_scope() }}

),

blocks as (

    select
        block_key,
        min(model_version) as model_version,
        count(*) as rows_of_block
    from scored
    group by block_key

),

-- A version may lie under several as-of keys, always with the same content.
known as (

    select
        model_version,
        component_id,
        min(weight) as weight
    from {{ ref('stg_components') }}
    group by model_version, component_id

),

counted as (

    select
        block_key,
        component_id,
        count(*) as rows_of_segment,
        avg(score) as mean_score
        {%- for feature in var('features') %},
        avg({{ ident(feature['name']) }}) as {{ ident('mean_' ~ feature['name']) }}
        {%- endfor %}
    from scored
    group by block_key, component_id

),

housed as (

    select
        block_key,
        component_id,
        count(*) as entities
    from {{ ref('entity_segments') }}
    where {{ in_scope() }}
    group by block_key, component_id

),

-- All components of the version, with rows or without, and those of the rows should it not be known.
listed as (

    select block_key, component_id from blocks inner join known using (model_version)
    union
    select block_key, component_id from counted

)

select
    block_key,
    component_id,
    blocks.model_version,
    known.weight,
    coalesce(counted.rows_of_segment, 0) as rows,
    coalesce(counted.rows_of_segment, 0) / blocks.rows_of_block as share,
    {{ 'coalesce(housed.entities, 0)' if var('entity') else 'null::bigint' }} as entities,
    counted.mean_score
    {%- for feature in var('features') %},
    counted.{{ ident('mean_' ~ feature['name']) }}
    {%- endfor %}
from listed
inner join blocks using (block_key)
left join known using (model_version, component_id)
left join counted using (block_key, component_id)
left join housed using (block_key, component_id)
