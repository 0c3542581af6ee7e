"""The SQL of a Supabase project, in order; an operator may paste it into its SQL editor."""
