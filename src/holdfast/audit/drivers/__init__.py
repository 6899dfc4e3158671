"""How the audit speaks to endpoints: one file for each way of carrying and for each shape of stream."""
