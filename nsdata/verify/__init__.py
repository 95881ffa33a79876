"""What distrusts what was published: finds damage, says what it costs, repairs what can be repaired."""
