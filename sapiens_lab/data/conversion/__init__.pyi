from sapiens_lab.data.conversion.converting import Converted as Converted
from sapiens_lab.data.conversion.converting import Options as Options
from sapiens_lab.data.conversion.converting import convert as convert
from sapiens_lab.data.conversion.converting import import_into as import_into
