"""Every price and every change of a balance."""
