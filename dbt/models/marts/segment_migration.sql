{{ config(materialized='incremental', incremental_strategy='replace_scope', on_schema_change='fail') }}

with

segments as (

    select block_key, component_id::integer as component_id, weight, share from {{ ref('segments') }}

),

blocks as (

    select
        block_key,
        lag(block_key) over (order by block_key) as previous_block_key,
        lag(known) over (order by block_key) as previous_known,
        known
    from (select block_key, bool_and(weight is not null) as known from segments group by block_key)

),

-- A block takes part in two steps: from the block before, and to the one behind it.
steps as (

    select * from blocks
    where previous_block_key is not null
    {%- set key = literal(block_in_scope()) %}
    {%- if block_in_scope() %} and (block_key = {{ key }} or previous_block_key = {{ key }}){% endif %}

),

{%- if var('entity') %}

before as (

    select steps.block_key, housed.entity, housed.component_id as from_component_id
    from steps
    inner join {{ ref('entity_segments') }} as housed on housed.block_key = steps.previous_block_key

),

behind as (

    select steps.block_key, housed.entity, housed.component_id as to_component_id
    from steps
    inner join {{ ref('entity_segments') }} as housed on housed.block_key = steps.block_key

),

counted as (

    select block_key, from_component_id, to_component_id, count(*) as entities
    from before full join behind using (block_key, entity)
    group by block_key, from_component_id, to_component_id

),

moved as (

    select *, entities / sum(entities) over (partition by block_key) as share
    from counted

),

{%- else %}

before as (

    select steps.block_key, segments.component_id, segments.share
    from steps
    inner join segments on segments.block_key = steps.previous_block_key

),

behind as (

    select steps.block_key, segments.component_id, segments.share
    from steps
    inner join segments on segments.block_key = steps.block_key

),

paired as (

    select
        block_key,
        component_id,
        coalesce(before.share, 0) as share_before,
        coalesce(behind.share, 0) as share_behind,
        greatest(share_before - share_behind, 0) as lost,
        greatest(share_behind - share_before, 0) as gained
    from before full join behind using (block_key, component_id)

),

-- Nobody can be followed: the least movement that makes the shares of one block those of the next.
moved as (

    select
        block_key,
        component_id as from_component_id,
        component_id as to_component_id,
        null::bigint as entities,
        least(share_before, share_behind) as share
    from paired
    where least(share_before, share_behind) > 0
    union all
    select
        losing.block_key,
        losing.component_id,
        gaining.component_id,
        null::bigint,
        losing.lost * gaining.gained / sum(gaining.gained) over (partition by losing.block_key, losing.component_id)
    from paired as losing
    inner join paired as gaining using (block_key)
    where losing.lost > 0 and gaining.gained > 0

),
{%- endif %}

ids as (

    select block_key, component_id, true as there from segments

)

select
    moved.block_key,
    steps.previous_block_key,
    moved.from_component_id,
    moved.to_component_id,
    moved.entities,
    moved.share,
    case
        when moved.to_component_id is null or ids_before.there then false
        when steps.previous_known then true
    end as born,
    case
        when moved.from_component_id is null or ids_behind.there then false
        when steps.known then true
    end as died
from moved
inner join steps on steps.block_key = moved.block_key
left join ids as ids_before
    on ids_before.block_key = steps.previous_block_key and ids_before.component_id = moved.to_component_id
left join ids as ids_behind
    on ids_behind.block_key = moved.block_key and ids_behind.component_id = moved.from_component_id
