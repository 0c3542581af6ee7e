"""Supabase: whose tokens are accepted."""
