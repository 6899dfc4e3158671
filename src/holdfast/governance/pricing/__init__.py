"""What models cost: the catalogue of list prices, rate cards of upstreams, waivers, currencies, and how they change."""
