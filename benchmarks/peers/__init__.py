"""Libraries that run LLaVA-Phi on a CPU, ours among them, behind one interface: engine.Engine."""
