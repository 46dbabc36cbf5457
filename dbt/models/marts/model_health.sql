{{ config(materialized='view') }}

with

newest as (

    select * from {{ ref('stg_metrics') }}
    -- What is not of a version sorts last, and is the only one of its stage.
    qualify model_version is not distinct from max(model_version) over (partition by block_key, stage)

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
