"""The reference function of every step operation."""

from edgernn.reference.arguments import Reference
from edgernn.reference.float32 import elementwise, loops, movement, products, recurrent, reductions, selection, time
from edgernn.reference.int8 import elementwise as int8_elementwise
from edgernn.reference.int8 import products as int8_products
from edgernn.reference.int8 import recurrent as int8_recurrent
from edgernn.reference.int8 import reductions as int8_reductions
from edgernn.reference.int8 import selection as int8_selection

FLOAT_FAMILIES = (elementwise, products, recurrent, reductions, selection, movement, time, loops)
INT8_FAMILIES = (int8_elementwise, int8_products, int8_recurrent, int8_reductions, int8_selection)
REFERENCES: dict[type, Reference] = {
    operation: function
    for family in (*FLOAT_FAMILIES, *INT8_FAMILIES)
    for operation, function in family.OPERATIONS.items()
}
