"""Recordings in and out, without ROS."""
