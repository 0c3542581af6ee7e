"""What Stripe means for us: who subscribes, which credits that gives, which events came."""
