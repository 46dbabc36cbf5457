{{ config(materialized='view') }}

with

newest as (

    select * from {{ ref('stg_metrics') }}
    -- After a rollback an older version is the one that was measured last. A verb's rows were measured together.
    qualify dense_rank() over (
        partition by block_key, stage order by measured_at desc nulls last, model_version desc nulls last
    ) = 1

)

select
    block_key,
    stage,
    model_version,
    metric,
    value,
    unit,
    at_least,
    at_most,
    ok,
    lag(value) over (partition by stage, metric order by block_key) as value_before
from newest
