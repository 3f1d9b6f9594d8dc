"""Run the tasks of an hsm sweep on a PBS cluster: OpenPBS, PBS Pro or Torque."""
