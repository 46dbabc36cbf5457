{# Block by block, `total` of this table equals `other_total` of the other; a missing block counts 0. #}
{% test agrees_with(model, total, other, other_total) %}

with
here as (
    select block_key, {{ total }} as total from {{ model }} where {{ in_scope() }} group by block_key
),

there as (
    select block_key, {{ other_total }} as total from {{ other }} where {{ in_scope() }} group by block_key
)

select block_key, here.total as got, there.total as expected
from here full join there using (block_key)
where coalesce(here.total, 0) <> coalesce(there.total, 0)

{% endtest %}
