"""The SQL that makes the database, in order; here, so that an installed package has it too."""
