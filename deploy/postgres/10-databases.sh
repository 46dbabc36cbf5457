#!/bin/bash
# Makes the two databases, each with an owner of its own that may enter no other. The server's
# image runs this once, when its volume is empty. psql reads the passwords from the environment.
set -eu

make_database() {  # NAME PASSWORD_VARIABLE: a role and its database, both called NAME
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" \
        --dbname=postgres --set=name="$1" <<SQL
\getenv password $2
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

make_database airflow AIRFLOW_DB_PASSWORD
make_database mlflow MLFLOW_DB_PASSWORD
