"""The inbox: what people have to do, computed, and closed only when it is computed as gone."""
