{{ config(materialized='incremental', incremental_strategy='replace_scope', on_schema_change='fail') }}

with

scored as (

    select * from {{ ref('stg_scored_rows') }} where {{ in_scope() }}

),

summarised as (

    select
        block_key,
        min(model_version) as model_version,
        count(*) as rows,
        count(*) filter (where anomaly) as anomalies,
        count(*) filter (where anomaly) / count(*) as anomaly_share,
        avg(score) as mean_score,
        avg(log_prob) as mean_log_prob,
        min(log_prob) as min_log_prob
        {%- for feature in var('features') %},
        avg({{ ident(feature['name']) }}) as {{ ident('mean_' ~ feature['name']) }}
        {%- endfor %}
    from scored
    group by block_key

)

select * from summarised
