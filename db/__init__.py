"""The store: tables and transactions. It never imports torch, and rows never leave it."""
