"""The store: one .sql file per query, typed rows, transactions, migrations. The only floor with
asyncpg.
"""
