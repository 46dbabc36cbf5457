{# A feature's source value in feature space: the SQL twin of gmm_core.features.Feature.forward. #}
{% macro forward(feature, value) -%}
    {%- set sql = {
        'identity': value,
        'log': 'ln(' ~ value ~ ')',
        'log1p': 'ln(1 + ' ~ value ~ ')',
        'sqrt': 'sqrt(' ~ value ~ ')',
    } -%}
    {{ sql[feature['transform']] }}
{%- endmacro %}
