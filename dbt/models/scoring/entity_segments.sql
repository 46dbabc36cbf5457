{{ config(materialized='incremental', incremental_strategy='replace_scope', on_schema_change='fail') }}

with

scored as (

    select
        block_key,
        {{ entity() }} as entity,
        component_id::integer as component_id,
        event_time
    from {{ ref('stg_scored_rows') }}
    where {{ in_scope() }} and {{ entity() }} is not null

),

counted as (

    select
        block_key,
        entity,
        component_id,
        count(*) as rows_in_segment,
        max(event_time) as last_time
    from scored
    group by block_key, entity, component_id

),

main as (

    select
        block_key,
        entity,
        component_id,
        rows_in_segment,
        (sum(rows_in_segment) over (partition by block_key, entity))::bigint as rows
    from counted
    qualify row_number() over (
        partition by block_key, entity order by rows_in_segment desc, last_time desc, component_id
    ) = 1

)

select * from main
