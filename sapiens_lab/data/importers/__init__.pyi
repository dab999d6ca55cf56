from sapiens_lab.data.importers.annotated import Annotated as Annotated
from sapiens_lab.data.importers.formats import IMPORTERS as IMPORTERS
from sapiens_lab.data.importers.formats import Importer as Importer
from sapiens_lab.data.importers.formats import importer_named as importer_named
from sapiens_lab.data.importers.formats import recognize as recognize
