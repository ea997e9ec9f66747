"""What LLaVA-Phi is: configuration, network, checkpoint, picture and prompt."""
