{#
  `expression` holds for every row, or with `per` for every group. Fails with the rows or groups
  where it is false, and also where it is unknown.
  `scoped: false` looks at the whole table and not only at the block in scope.
#}
{% test holds(model, expression, per=none, scoped=true) %}

{%- set rows = in_scope() if scoped else 'true' -%}
{%- if per %}
select {{ per | join(', ') }}
from {{ model }}
where {{ rows }}
group by {{ per | join(', ') }}
having ({{ expression }}) is not true
{%- else %}
select *
from {{ model }}
where {{ rows }} and ({{ expression }}) is not true
{%- endif %}

{% endtest %}
