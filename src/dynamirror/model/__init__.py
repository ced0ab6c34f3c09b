"""Pure decisions: functions of values, no clock, no random, no I/O."""
