{#
  Every row with every component of one version of a mixture: a query.

  key         columns that together tell rows apart
  features    in the model's order: [{name, transform}] of numeric ones, where transform may be left out, then
              [{name, levels}] of categorical ones; all of them as the model has them, or the query fails when it runs
  parameters  the table of gmm_core.parameters, with stream and model_version

  Gives key, component, component_id, log_joint (log of weight times density), log_prob, responsibility,
  <feature>_normalised in the component, and is_component, true once per row. NULL, and false, where a number is missing; what is none of the levels, and
  NULL, is one level more.
#}
{% macro joint(rows, key, features, parameters, stream, version) -%}
{%- set numeric = features | rejectattr('levels', 'defined') | list -%}
{%- set categorical = features | selectattr('levels', 'defined') | list -%}
{%- set d = numeric | length -%}
{%- set sizes = [] -%}  {# of levels, the one for all others among them #}
{%- for feature in categorical %}{% do sizes.append(feature['levels'] | length + 1) %}{% endfor %}
{%- set keys = gmm_sql._names(key) -%}
with gmm_components as (

    select
        component,
        component_id,
        case
            -- Tables of releases before this check do not tell features apart.
            when count(case when parameter = 'feature' then 1 end) in (0, {{ features | length }})
                and count(case when parameter = 'feature' then 1 end) = count(case
                    {%- for feature in numeric + categorical %}
                    when parameter = 'feature' and i = {{ loop.index0 }} and value = {{ gmm_sql.told_apart(feature) }} then 1
                    {%- endfor %}
                end)
                and count(case when parameter = 'mean' then 1 end) = {{ d }}
                and count(case when parameter = 'log_level' then 1 end) = {{ sizes | sum }}
                then sum(case when parameter = 'weight' or (parameter = 'whitener' and i = j) then ln(value) else {{ gmm_sql.number('0') }} end)
                    - {{ d }} * {{ gmm_sql.number('0.9189385332046727') }}  -- half the log of two pi
            else {{ gmm_sql.refuse('gmm_sql: version ' ~ (version | int) ~ ' has other features, transforms or levels than the ones named, or in another order', 'count(*)') }}
        end as gmm_offset
        {%- for i in range(d) %},
        max(case when parameter = 'mean' and i = {{ i }} then value end) as gmm_mean_{{ i }},
        max(case when parameter = 'sd' and i = {{ i }} then value end) as gmm_sd_{{ i }}
        {%- for j in range(i + 1) %},
        max(case when parameter = 'whitener' and i = {{ i }} and j = {{ j }} then value end) as gmm_white_{{ i }}_{{ j }}
        {%- endfor %}
        {%- endfor %}
        {%- for size in sizes %}
        {%- set feature = d + loop.index0 %}
        {%- for code in range(size) %},
        max(case when parameter = 'log_level' and i = {{ feature }} and j = {{ code }} then value end) as gmm_level_{{ feature }}_{{ code }}
        {%- endfor %}
        {%- endfor %}
    from {{ parameters }}
    where stream = {{ gmm_sql.text(stream) }} and model_version = {{ version | int }} and component is not null
    group by component, component_id

),

gmm_rows as (

    select
        {{ keys }}
        {%- for feature in numeric %},
        {{ gmm_sql.forward(feature) }} as gmm_x_{{ loop.index0 }}
        {%- endfor %}
        {%- for feature in categorical %},
        {{ gmm_sql.code(feature) }} as gmm_code_{{ d + loop.index0 }}
        {%- endfor %}
    from {{ rows }}

),

gmm_distances as (

    select
        gmm_rows.*,
        gmm_components.component,
        gmm_components.component_id,
        gmm_components.gmm_offset
        {%- for size in sizes %}
        {%- set feature = d + loop.index0 %}
        + case gmm_code_{{ feature }}
            {%- for code in range(size) %} when {{ code }} then gmm_level_{{ feature }}_{{ code }}{% endfor %} end
        {%- endfor %} as gmm_height
        {%- for i in range(d) %},
        (gmm_x_{{ i }} - gmm_mean_{{ i }}) / (4 * gmm_sd_{{ i }}) as gmm_normalised_{{ i }},
        {%- set terms = [] -%}
        {%- for j in range(i + 1) %}{% do terms.append('gmm_white_' ~ i ~ '_' ~ j ~ ' * (gmm_x_' ~ j ~ ' - gmm_mean_' ~ j ~ ')') %}{% endfor %}
        -- Beyond 1e150 deviations a row is just far: its square stays a number.
        least(greatest({{ terms | join(' + ') }}, {{ gmm_sql.number('-1e150') }}), {{ gmm_sql.number('1e150') }}) as gmm_z_{{ i }}
        {%- endfor %}
    from gmm_rows
    cross join gmm_components

),

gmm_joint as (

    select
        *,
        -- Asked for by name, since least() and greatest() leave NULLs out.
        case
            when {% for i in range(d) %}gmm_x_{{ i }} is not null{{ ' and ' if not loop.last }}{% endfor %}
                then gmm_height - {{ gmm_sql.number('0.5') }} * (
                    {%- for i in range(d) %}gmm_z_{{ i }} * gmm_z_{{ i }}{{ ' + ' if not loop.last }}{% endfor -%}
                )
        end as log_joint
    from gmm_distances

),

-- Shares are taken from what is left after the largest part, so that they sum to 1 however far out a row lies.
gmm_topped as (

    select
        *,
        max(log_joint) over (partition by {{ keys }}) as gmm_top,
        row_number() over (partition by {{ keys }} order by log_joint desc, component) as gmm_place
    from gmm_joint

),

gmm_parts as (

    select *, {{ gmm_sql.exp('log_joint - gmm_top') }} as gmm_part
    from gmm_topped

),

gmm_summed as (

    select *, sum(gmm_part) over (partition by {{ keys }}) as gmm_total
    from gmm_parts

)

select
    {{ keys }},
    component,
    component_id,
    log_joint,
    gmm_top + ln(gmm_total) as log_prob,
    case when log_joint is not null then gmm_part / gmm_total end as responsibility,
    {%- for feature in numeric %}
    gmm_normalised_{{ loop.index0 }} as {{ gmm_sql.name(feature['name'] ~ '_normalised') }},
    {%- endfor %}
    gmm_place = 1 as is_component
from gmm_summed
{%- endmacro %}


{#
  Every row once: key, log_prob, component, component_id, <feature>_normalised of numeric ones, score, and
  tail_probability, 1 - score with all its digits. Arguments as in `joint`.
#}
{% macro scored(rows, key, features, parameters, stream, version) -%}
{%- set picked = "stream = " ~ gmm_sql.text(stream) ~ " and model_version = " ~ (version | int) -%}
select gmm_looked_up.*, 1 - tail_probability as score
from (
    select
        {{ gmm_sql._names(key, 'gmm_one') }},
        gmm_one.log_prob,
        case when gmm_one.log_prob is not null then gmm_one.component end as component,
        case when gmm_one.log_prob is not null then gmm_one.component_id end as component_id,
        {%- for feature in features | rejectattr('levels', 'defined') %}
        gmm_one.{{ gmm_sql.name(feature['name'] ~ '_normalised') }},
        {%- endfor %}
        -- Between points of the tail curve its logarithm is interpolated; below the lowest it falls by one nat per nat.
        case when gmm_one.log_prob is not null then exp(greatest(
            case
                when gmm_one.log_prob < gmm_curve.low then gmm_curve.log_low + gmm_one.log_prob - gmm_curve.low
                when gmm_curve.high is null then gmm_curve.log_low
                else gmm_curve.log_low
                    + (gmm_curve.log_high - gmm_curve.log_low) * (gmm_one.log_prob - gmm_curve.low) / (gmm_curve.high - gmm_curve.low)
            end, {{ gmm_sql.number('-700') }}
        )) end as tail_probability
    from ({{ gmm_sql.joint(rows, key, features, parameters, stream, version) }}) as gmm_one
    left join (
        select
            gmm_density.i,
            gmm_density.value as low,
            lead(gmm_density.value) over (order by gmm_density.i) as high,
            gmm_share.value as log_low,
            lead(gmm_share.value) over (order by gmm_density.i) as log_high
        from (select i, value from {{ parameters }} where {{ picked }} and parameter = 'tail_log_density') as gmm_density
        join (select i, value from {{ parameters }} where {{ picked }} and parameter = 'tail_log_share') as gmm_share
            on gmm_density.i = gmm_share.i
    ) as gmm_curve
        on (gmm_one.log_prob >= gmm_curve.low or gmm_curve.i = 0)
        and (gmm_one.log_prob < gmm_curve.high or gmm_curve.high is null)
    where gmm_one.is_component
) as gmm_looked_up
{%- endmacro %}


{% macro _names(names, table='') -%}
    {%- for one in names %}{{ (table ~ '.') if table }}{{ gmm_sql.name(one) }}{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro %}
