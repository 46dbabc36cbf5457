{#
  From every block to the next, what leaves a segment sums to its size of before, and what reaches one to its
  size of now. A size is a number of entities where the stream has some, else a share of rows.
#}
{% test migrates_between(model, segments) %}

{%- set size = 'entities' if var('entity') else 'share' %}

with
blocks as (
    select block_key, lag(block_key) over (order by block_key) as previous_block_key
    from (select distinct block_key from {{ segments }})
),

expected as (
    select blocks.block_key, previous_block_key, 'to' as side, component_id, {{ size }} as total
    from blocks inner join {{ segments }} as now on now.block_key = blocks.block_key
    where previous_block_key is not null and {{ size }} > 0
    union all
    select blocks.block_key, previous_block_key, 'from' as side, component_id, {{ size }} as total
    from blocks inner join {{ segments }} as before on before.block_key = blocks.previous_block_key
    where {{ size }} > 0
),

got as (
    select block_key, previous_block_key, 'to' as side, to_component_id as component_id, sum({{ size }}) as total
    from {{ model }} where to_component_id is not null group by all
    union all
    select block_key, previous_block_key, 'from' as side, from_component_id as component_id, sum({{ size }}) as total
    from {{ model }} where from_component_id is not null group by all
)

select block_key, previous_block_key, side, component_id, got.total as got, expected.total as expected
from got full join expected using (block_key, previous_block_key, side, component_id)
where coalesce(abs(got.total - expected.total) > 1e-9, true)

{% endtest %}
