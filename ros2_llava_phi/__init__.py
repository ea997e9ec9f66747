"""Ask a robot's cameras questions in plain language: LLaVA-Phi for ROS 2."""

__version__ = '0.1.0'
