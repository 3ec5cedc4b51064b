"""The database: sessions, SQL, migrations and sealed values."""
