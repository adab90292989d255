"""The use cases: one module per step of the flow, each read → decide → write."""
