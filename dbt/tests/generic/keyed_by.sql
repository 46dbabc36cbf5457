{# The columns together are the table's key: never null, never twice. Fails with the bad keys. #}
{% test keyed_by(model, columns, scoped=true) %}

select {{ columns | join(', ') }}, count(*) as times
from {{ model }}
where {{ in_scope() if scoped else 'true' }}
group by {{ columns | join(', ') }}
having count(*) > 1
    {%- for column in columns %} or {{ column }} is null{% endfor %}

{% endtest %}


{# A block has one row per distinct value of the stream's group_by columns; nothing to say without any. #}
{% test one_row_per_group(model) %}

{%- set keys = ['block_key'] -%}
{%- for key in var('keys') %}{% do keys.append(ident(key)) %}{% endfor %}
select {{ keys | join(', ') }}, count(*) as times
from {{ model }}
where {{ in_scope() }} and {{ 'true' if var('keys') else 'false' }}
group by {{ keys | join(', ') }}
having count(*) > 1

{% endtest %}
