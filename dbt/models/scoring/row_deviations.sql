with

scored as (

    select * from {{ ref('stg_scored_rows') }}

),

-- A version may lie under several as-of keys, always with the same content.
components as (

    select distinct on (model_version, component, feature) *
    from {{ ref('stg_components') }}
    order by model_version, component, feature, block_key desc

),

unpivoted as (

    {%- for feature in var('features') %}
    select
        block_key,
        row_in_block,
        model_version::integer as model_version,
        component::integer as component,
        component_id::integer as component_id,
        anomaly,
        {{ literal(feature['name']) }} as feature,
        {{ ident(feature['name']) }}::double as value,
        {{ forward(feature, ident(feature['name'])) }} as position,
        4 * {{ ident(feature['name'] ~ '_normalised') }} as deviation
    from scored
    {{ "union all" if not loop.last }}
    {%- endfor %}

),

joined as (

    select
        unpivoted.*,
        components.component_id as known_component_id,
        components.mean,
        components.sd,
        components.centre,
        components.low,
        components.high
    from unpivoted
    left join components using (model_version, component, feature)

)

select * from joined
