"""The one table name -> stand-in, put there and taken away; and the guard for what gets past it."""

