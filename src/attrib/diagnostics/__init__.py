"""What a careful analyst would want to be told about the data: findings, made from facts that a pass counts anyway."""
