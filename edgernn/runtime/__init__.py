"""Programs in compiled code: lowering, plan, runner."""
