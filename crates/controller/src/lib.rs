//! What the controller does: one VSwitchConfig per node, leader election.
